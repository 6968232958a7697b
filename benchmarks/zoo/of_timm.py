"""timm: the smallest network of every family, or a small form of one that has only large ones."""

from functools import partial
from typing import Any

import timm
from benchmarks.zoo.network import Network, Networks, images
from torch import nn

TINY_VIT: dict[str, Any] = {"embed_dim": 96, "depth": 3, "num_heads": 3, "img_size": 64}

# Name -> settings that make it small. "size" is that of the images; the rest goes to timm.
NETWORKS: dict[str, dict[str, Any]] = {
    "beit_base_patch16_224": TINY_VIT,
    "beitv2_base_patch16_224": TINY_VIT,
    "halonet_h1": {"size": 256},
    "botnet26t_256": {"size": 256},
    "lambda_resnet26t": {"size": 256},
    "repvgg_a0": {},
    "gernet_s": {},
    "mobileone_s0": {},
    "cait_xxs24_224": {"depth": 3, "size": 224},
    "coat_tiny": {"size": 224},
    "coat_lite_tiny": {"size": 224},
    "convit_tiny": {"depth": 12, "size": 224},
    "convmixer_1024_20_ks9_p14": {},
    "convnext_atto": {},
    "convnextv2_atto": {},
    "cpubone_nano": {},
    "crossvit_tiny_240": {"size": 240},
    "csatv2": {"size": 512},
    "cs3darknet_focus_s": {},
    "cspresnet50": {},
    "darknet53": {},
    "cspnext_tiny": {},
    "davit_tiny": {"depths": (1, 1, 1, 1), "size": 112},
    "deit_tiny_distilled_patch16_224": {"size": 224, "depth": 4},
    "deit3_small_patch16_224": TINY_VIT,
    "densenet121": {},
    "dla46_c": {},
    "dla60x_c": {},
    "dpn48b": {},
    "edgenext_xx_small": {},
    "efficientformer_l1": {"size": 224},
    "efficientformerv2_s0": {"size": 224},
    "efficientnet_b0": {},
    "efficientnet_lite0": {},
    "efficientvim_m1": {"size": 224},
    "efficientvit_b0": {},
    "efficientvit_m0": {"size": 224},
    "mixnet_s": {},
    "fbnetc_100": {},
    "tinynet_e": {},
    "eva02_tiny_patch14_224": {"depth": 3, "size": 224},
    "vit_tiny_patch16_dinov3_qkvb": {"depth": 3, "size": 256},
    "fasternet_t0": {},
    "fastvit_t8": {},
    "focalnet_tiny_srf": {},
    "gcvit_xxtiny": {"size": 224},
    "ghostnet_050": {},
    "ghostnetv2_100": {},
    "hardcorenas_a": {},
    "hgnetv2_b0": {},
    "hiera_tiny_224": {"size": 224, "stages": (1, 1, 1, 1)},
    "hieradet_small": {"size": 224},
    "hrnet_w18_small": {},
    "iformer_t": {},
    "inception_next_atto": {},
    "inception_resnet_v2": {"size": 96},
    "inception_v3": {"size": 96},
    "inception_v4": {"size": 96},
    "lcnet_035": {},
    "lcnetv2_small": {},
    "levit_128s": {"size": 224},
    "lowformer_b0": {},
    "mambaout_femto": {},
    "coatnet_nano_rw_224": {"size": 224},
    "maxvit_rmlp_pico_rw_256": {"size": 256},
    "poolformer_s12": {},
    "convformer_s18": {},
    "caformer_s18": {},
    "gmlp_ti16_224": {"size": 224},
    "mixer_s32_224": {"size": 224},
    "resmlp_12_224": {"size": 224},
    "mnasnet_small": {},
    "mobilenetv2_050": {},
    "mobilenetv3_small_050": {},
    "mobilenetv4_conv_small_035": {},
    "mobilenetv4_hybrid_medium": {},
    "mobilevit_xxs": {"size": 128},
    "mobilevitv2_050": {"size": 128},
    "mvitv2_tiny": {"size": 224},
    "nest_tiny": {"size": 224},
    "nextvit_small": {},
    "nf_resnet26": {},
    "dm_nfnet_f0": {"size": 64},
    "pit_ti_224": {"size": 224},
    "pvt_v2_b0": {},
    "rdnet_tiny": {},
    "regnetx_002": {},
    "regnety_002": {},
    "regnetz_005": {},
    "repghostnet_050": {},
    "repvit_m0_9": {},
    "res2net50_48w_2s": {},
    "resnest14d": {},
    "resnet10t": {},
    "ecaresnet26t": {},
    "seresnext26ts": {},
    "resnetv2_18": {},
    "rexnet_100": {},
    "selecsls42": {},
    "legacy_seresnet18": {},
    "sequencer2d_s": {"size": 224, "layers": (1, 1, 1, 1)},
    "shvit_s1": {"size": 224},
    "skresnet18": {},
    "starnet_s050": {},
    "swiftformer_xs": {"size": 224},
    "swin_tiny_patch4_window7_224": {"depths": (1, 1, 2, 1), "size": 224},
    "swinv2_tiny_window8_256": {"depths": (1, 1, 2, 1), "size": 256},
    "swinv2_cr_tiny_224": {"depths": (1, 1, 2, 1), "size": 224},
    "tf_efficientnetv2_b0": {},
    "tiny_vit_5m_224": {"size": 224},
    "tnt_s_legacy_patch16_224": {"depth": 3, "size": 224},
    "tresnet_m": {},
    "twins_pcpvt_small": {"depths": (1, 1, 1, 1), "size": 224},
    "twins_svt_small": {"depths": (1, 1, 2, 1), "size": 224},
    "vgg11": {"size": 64},
    "visformer_tiny": {"size": 224},
    "vit_tiny_patch16_224": {"depth": 3, "size": 224},
    "vit_relpos_small_patch16_224": TINY_VIT,
    "vit_small_resnet26d_224": {"size": 224, "depth": 3},
    "vitamin_small_224": {"size": 224},
    "volo_d1_224": {"size": 224},
    "vovnet39a": {},
    "ese_vovnet19b_dw": {},
    "xcit_nano_12_p16_224": {"size": 224, "depth": 3},
    "xception41": {},
}


def networks() -> Networks:
    """Yield every network that this version of timm has."""
    for name, settings in NETWORKS.items():
        if not timm.is_model(name):
            continue
        size = settings.get("size", settings.get("img_size", 96))
        rest = {key: value for key, value in settings.items() if key != "size"}
        yield Network(
            library="timm", name=name, build=partial(build, name, **rest), inputs=images(size)
        )


def build(name: str, **settings: Any) -> nn.Module:
    """Return a timm network with random weights."""
    return timm.create_model(name, pretrained=False, num_classes=100, **settings)
