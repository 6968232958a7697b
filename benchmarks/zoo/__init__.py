"""The wide zoo: networks of many libraries, each pruned to half by one check.

    python -m benchmarks.zoo                     # every network of the libraries installed
    python -m benchmarks.zoo --library timm      # one library
    python -m benchmarks.zoo swin_t resnet18     # some networks, again

A network is entered in the file of its library: a name, a function that builds it and one that
makes its inputs at a batch size. Weights are random; a library that is not installed is skipped.
"""
