"""transformers: encoders, decoders, encoder-decoders, vision, speech, mixtures, state space.

Every network is a small configuration of the class that users load checkpoints into.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import transformers as hf
from benchmarks.zoo.network import MakeInputs, Network, Networks, indices, keywords, numbers
from torch import nn

WORDS = 100
SIZES: dict[str, Any] = {
    "hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4,
}  # fmt: skip
TEXT = SIZES | {"vocab_size": WORDS, "max_position_embeddings": 32}
GROUPED = TEXT | {
    "hidden_size": 128, "num_attention_heads": 16, "num_key_value_heads": 4, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
BOTH: dict[str, Any] = {
    "vocab_size": WORDS, "d_model": 64, "encoder_layers": 2, "decoder_layers": 2,
    "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 128,
    "decoder_ffn_dim": 128, "max_position_embeddings": 32,
}  # fmt: skip
GPT: dict[str, Any] = {
    "vocab_size": WORDS, "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 32,
}  # fmt: skip
T5: dict[str, Any] = {
    "vocab_size": WORDS, "d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4,
}  # fmt: skip
PATCHES = SIZES | {"image_size": 32, "patch_size": 8}
STAGES: dict[str, Any] = {"depths": [1, 1, 1, 1], "hidden_sizes": [16, 32, 64, 64]}
SWIN: dict[str, Any] = {
    "image_size": 32, "patch_size": 2, "embed_dim": 24, "depths": [2, 1], "num_heads": [2, 4],
    "window_size": 4,
}  # fmt: skip
SPEECH = SIZES | {
    "conv_dim": (32, 32), "conv_stride": (5, 2), "conv_kernel": (10, 3),
    "num_feat_extract_layers": 2, "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}  # fmt: skip

words: MakeInputs = keywords(input_ids=indices(WORDS, 12))
no_cache: MakeInputs = keywords(input_ids=indices(WORDS, 12), use_cache=False)
pair: MakeInputs = keywords(
    input_ids=indices(WORDS, 12), decoder_input_ids=indices(WORDS, 5), use_cache=False
)
sound: MakeInputs = keywords(input_values=numbers(800))


def picture(size: int) -> MakeInputs:
    """Return a maker of square images."""
    return keywords(pixel_values=numbers(3, size, size))


# Name: (model class, config class, settings, inputs).
ENCODERS: dict[str, Any] = {
    "albert": ("AlbertModel", "AlbertConfig", TEXT | {"embedding_size": 32}, words),
    "bert": ("BertForSequenceClassification", "BertConfig", TEXT, words),
    "camembert": ("CamembertForMaskedLM", "CamembertConfig", TEXT, words),
    "convbert": ("ConvBertModel", "ConvBertConfig", TEXT | {"embedding_size": 32}, words),
    "deberta_v2": ("DebertaV2Model", "DebertaV2Config", TEXT, words),
    "distilbert": (
        "DistilBertForMaskedLM", "DistilBertConfig",
        {"vocab_size": WORDS, "dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 128,
         "max_position_embeddings": 32}, words,
    ),
    "electra": ("ElectraModel", "ElectraConfig", TEXT | {"embedding_size": 32}, words),
    "ernie": ("ErnieModel", "ErnieConfig", TEXT, words),
    "esm": ("EsmModel", "EsmConfig", TEXT | {"pad_token_id": 0, "mask_token_id": 3}, words),
    "fnet": ("FNetModel", "FNetConfig", TEXT, words),
    "layoutlm": (
        "LayoutLMModel", "LayoutLMConfig", TEXT | {"max_2d_position_embeddings": 32}, words,
    ),
    "mobilebert": (
        "MobileBertModel", "MobileBertConfig",
        TEXT | {"embedding_size": 32, "intra_bottleneck_size": 32, "true_hidden_size": 32}, words,
    ),
    "modernbert": (
        "ModernBertModel", "ModernBertConfig",
        TEXT | {"pad_token_id": 0, "cls_token_id": 1, "sep_token_id": 2}, words,
    ),
    "mpnet": ("MPNetModel", "MPNetConfig", TEXT, words),
    "nystromformer": ("NystromformerModel", "NystromformerConfig", TEXT, words),
    "roberta": ("RobertaForSequenceClassification", "RobertaConfig", TEXT, words),
    "roformer": ("RoFormerModel", "RoFormerConfig", TEXT, words),
    "squeezebert": ("SqueezeBertModel", "SqueezeBertConfig", TEXT | {"embedding_size": 64}, words),
    "xlm_roberta": ("XLMRobertaModel", "XLMRobertaConfig", TEXT, words),
}  # fmt: skip
DECODERS: dict[str, Any] = {
    "bloom": (
        "BloomForCausalLM", "BloomConfig",
        {"vocab_size": WORDS, "hidden_size": 64, "n_layer": 2, "n_head": 4}, no_cache,
    ),
    "codegen": (
        "CodeGenForCausalLM", "CodeGenConfig",
        GPT | {"rotary_dim": 8}, no_cache,
    ),
    "cohere": ("CohereForCausalLM", "CohereConfig", GROUPED, no_cache),
    "falcon": (
        "FalconForCausalLM", "FalconConfig",
        {"vocab_size": WORDS, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4},
        no_cache,
    ),
    "gemma": ("GemmaForCausalLM", "GemmaConfig", GROUPED | {"head_dim": 8}, no_cache),
    "gemma2": ("Gemma2ForCausalLM", "Gemma2Config", GROUPED | {"head_dim": 8}, no_cache),
    "gemma3": ("Gemma3ForCausalLM", "Gemma3TextConfig", GROUPED | {"head_dim": 8}, no_cache),
    "glm": (
        "GlmForCausalLM", "GlmConfig", GROUPED | {"head_dim": 8}, no_cache,
    ),
    "gpt2": (
        "GPT2LMHeadModel", "GPT2Config",
        GPT, no_cache,
    ),
    "gpt2, with its cache": (
        "GPT2LMHeadModel", "GPT2Config",
        GPT, words,
    ),
    "gpt_bigcode": (
        "GPTBigCodeForCausalLM", "GPTBigCodeConfig",
        GPT, no_cache,
    ),
    "gpt_neo": (
        "GPTNeoForCausalLM", "GPTNeoConfig",
        {"vocab_size": WORDS, "hidden_size": 64, "num_layers": 2, "num_heads": 4,
         "attention_types": [[["global", "local"], 1]], "max_position_embeddings": 32},
        no_cache,
    ),
    "gpt_neox": ("GPTNeoXForCausalLM", "GPTNeoXConfig", TEXT, no_cache),
    "gptj": (
        "GPTJForCausalLM", "GPTJConfig",
        GPT | {"rotary_dim": 8}, no_cache,
    ),
    "granite": ("GraniteForCausalLM", "GraniteConfig", GROUPED, no_cache),
    "llama": ("LlamaForCausalLM", "LlamaConfig", GROUPED, no_cache),
    "llama, with its cache": ("LlamaForCausalLM", "LlamaConfig", GROUPED, words),
    "mistral": ("MistralForCausalLM", "MistralConfig", GROUPED, no_cache),
    "olmo2": ("Olmo2ForCausalLM", "Olmo2Config", GROUPED, no_cache),
    "opt": (
        "OPTForCausalLM", "OPTConfig",
        {"vocab_size": WORDS, "hidden_size": 64, "ffn_dim": 128, "num_hidden_layers": 2,
         "num_attention_heads": 4, "word_embed_proj_dim": 64, "max_position_embeddings": 32},
        no_cache,
    ),
    "phi": ("PhiForCausalLM", "PhiConfig", GROUPED, no_cache),
    "phi3": ("Phi3ForCausalLM", "Phi3Config", GROUPED, no_cache),
    "qwen2": ("Qwen2ForCausalLM", "Qwen2Config", GROUPED, no_cache),
    "qwen3": ("Qwen3ForCausalLM", "Qwen3Config", GROUPED | {"head_dim": 8}, no_cache),
    "smollm3": ("SmolLM3ForCausalLM", "SmolLM3Config", GROUPED, no_cache),
    "stablelm": ("StableLmForCausalLM", "StableLmConfig", GROUPED, no_cache),
    "starcoder2": ("Starcoder2ForCausalLM", "Starcoder2Config", GROUPED, no_cache),
}  # fmt: skip
MIXTURES: dict[str, Any] = {
    "mixtral": (
        "MixtralForCausalLM", "MixtralConfig", GROUPED | {"num_local_experts": 4}, no_cache,
    ),
    "olmoe": (
        "OlmoeForCausalLM", "OlmoeConfig",
        GROUPED | {"num_experts": 4, "num_experts_per_tok": 2}, no_cache,
    ),
    "qwen2_moe": (
        "Qwen2MoeForCausalLM", "Qwen2MoeConfig",
        GROUPED | {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32,
                   "shared_expert_intermediate_size": 64}, no_cache,
    ),
    "qwen3_moe": (
        "Qwen3MoeForCausalLM", "Qwen3MoeConfig",
        GROUPED | {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32,
                   "head_dim": 8}, no_cache,
    ),
    "switch_transformers": (
        "SwitchTransformersModel", "SwitchTransformersConfig",
        T5 | {"num_experts": 2, "num_sparse_encoder_layers": 1, "num_sparse_decoder_layers": 1},
        keywords(
            input_ids=indices(WORDS, 48), decoder_input_ids=indices(WORDS, 48), use_cache=False
        ),
    ),
}  # fmt: skip
STATE_SPACE: dict[str, Any] = {
    "falcon_mamba": (
        "FalconMambaForCausalLM", "FalconMambaConfig",
        {"vocab_size": WORDS, "hidden_size": 64, "num_hidden_layers": 2, "state_size": 8},
        no_cache,
    ),
    "mamba": (
        "MambaForCausalLM", "MambaConfig",
        {"vocab_size": WORDS, "hidden_size": 64, "num_hidden_layers": 2, "state_size": 8},
        no_cache,
    ),
    "mamba2": (
        "Mamba2ForCausalLM", "Mamba2Config",
        {"vocab_size": WORDS, "hidden_size": 64, "num_hidden_layers": 2, "state_size": 8,
         "num_heads": 8, "head_dim": 16, "n_groups": 2, "chunk_size": 4}, no_cache,
    ),
    "recurrent_gemma": (
        "RecurrentGemmaForCausalLM", "RecurrentGemmaConfig",
        GROUPED | {"num_hidden_layers": 3, "lru_width": 128, "attention_window_size": 8}, no_cache,
    ),
    "rwkv": (
        "RwkvForCausalLM", "RwkvConfig",
        {"vocab_size": WORDS, "hidden_size": 64, "attention_hidden_size": 64,
         "num_hidden_layers": 2}, no_cache,
    ),
}  # fmt: skip
ENCODER_DECODERS: dict[str, Any] = {
    "bart": ("BartForConditionalGeneration", "BartConfig", BOTH, pair),
    "blenderbot": ("BlenderbotForConditionalGeneration", "BlenderbotConfig", BOTH, pair),
    "marian": ("MarianMTModel", "MarianConfig", BOTH | {"pad_token_id": 0}, pair),
    "mbart": ("MBartForConditionalGeneration", "MBartConfig", BOTH, pair),
    "pegasus": ("PegasusForConditionalGeneration", "PegasusConfig", BOTH, pair),
    "t5": ("T5ForConditionalGeneration", "T5Config", T5, pair),
    "umt5": ("UMT5ForConditionalGeneration", "UMT5Config", T5, pair),
}
VISION: dict[str, Any] = {
    "beit": ("BeitForImageClassification", "BeitConfig", PATCHES, picture(32)),
    "clip": (
        "CLIPModel", "CLIPConfig", {"text_config": TEXT, "vision_config": PATCHES},
        keywords(input_ids=indices(WORDS, 12), pixel_values=numbers(3, 32, 32)),
    ),
    "convnext": ("ConvNextForImageClassification", "ConvNextConfig", STAGES, picture(64)),
    "convnextv2": ("ConvNextV2ForImageClassification", "ConvNextV2Config", STAGES, picture(64)),
    "data2vec_vision": ("Data2VecVisionModel", "Data2VecVisionConfig", PATCHES, picture(32)),
    "deit": ("DeiTForImageClassification", "DeiTConfig", PATCHES, picture(32)),
    "detr": (
        "DetrForObjectDetection", "DetrConfig",
        {"d_model": 64, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 4,
         "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64,
         "num_queries": 5, "use_timm_backbone": False, "backbone_config": {
             "model_type": "resnet", "embedding_size": 16, "hidden_sizes": [32, 64, 64, 64],
             "depths": [1, 1, 1, 1], "out_features": ["stage4"]}}, picture(64),
    ),
    "dinov2": ("Dinov2ForImageClassification", "Dinov2Config", PATCHES, picture(32)),
    "dpt": (
        "DPTForDepthEstimation", "DPTConfig",
        PATCHES | {"num_hidden_layers": 4, "backbone_out_indices": [0, 1, 2, 3], "is_hybrid": False,
                   "neck_hidden_sizes": [16, 32, 64, 64], "fusion_hidden_size": 32}, picture(32),
    ),
    "glpn": (
        "GLPNForDepthEstimation", "GLPNConfig",
        {"hidden_sizes": [16, 32, 32, 64], "depths": [1, 1, 1, 1], "decoder_hidden_size": 32,
         "num_attention_heads": [1, 2, 2, 4]}, picture(64),
    ),
    "mobilevit": (
        "MobileViTForImageClassification", "MobileViTConfig",
        {"image_size": 64, "hidden_sizes": [32, 48, 64],
         "neck_hidden_sizes": [16, 16, 24, 32, 40, 64, 96]}, picture(64),
    ),
    "mobilevitv2": (
        "MobileViTV2ForImageClassification", "MobileViTV2Config",
        {"image_size": 64, "width_multiplier": 0.5}, picture(64),
    ),
    "poolformer": (
        "PoolFormerForImageClassification", "PoolFormerConfig", STAGES, picture(64),
    ),
    "regnet": (
        "RegNetForImageClassification", "RegNetConfig",
        STAGES | {"embedding_size": 16, "hidden_sizes": [32, 64, 64, 64], "groups_width": 16},
        picture(64),
    ),
    "resnet": (
        "ResNetForImageClassification", "ResNetConfig",
        STAGES | {"embedding_size": 16, "hidden_sizes": [32, 64, 64, 64]}, picture(64),
    ),
    "segformer": (
        "SegformerForSemanticSegmentation", "SegformerConfig",
        {"hidden_sizes": [16, 32, 32, 64], "num_attention_heads": [1, 2, 2, 4],
         "depths": [1, 1, 1, 1], "decoder_hidden_size": 32}, picture(64),
    ),
    "siglip": (
        "SiglipModel", "SiglipConfig",
        {"text_config": TEXT | {"projection_size": 64}, "vision_config": PATCHES},
        keywords(input_ids=indices(WORDS, 12), pixel_values=numbers(3, 32, 32)),
    ),
    "swin": ("SwinForImageClassification", "SwinConfig", SWIN, picture(32)),
    "swin2sr": (
        "Swin2SRForImageSuperResolution", "Swin2SRConfig",
        {"image_size": 16, "embed_dim": 24, "depths": [1, 1], "num_heads": [2, 2],
         "window_size": 4, "upscale": 2}, picture(16),
    ),
    "swinv2": ("Swinv2ForImageClassification", "Swinv2Config", SWIN, picture(32)),
    "timesformer": (
        "TimesformerForVideoClassification", "TimesformerConfig", PATCHES | {"num_frames": 2},
        keywords(pixel_values=numbers(2, 3, 32, 32)),
    ),
    "upernet": (
        "UperNetForSemanticSegmentation", "UperNetConfig",
        {"hidden_size": 32, "auxiliary_in_channels": 64, "auxiliary_channels": 16,
         "backbone_config": {"model_type": "convnext", "depths": [1, 1, 1, 1],
                             "hidden_sizes": [16, 32, 64, 64],
                             "out_features": ["stage1", "stage2", "stage3", "stage4"]}},
        picture(64),
    ),
    "vit": ("ViTForImageClassification", "ViTConfig", PATCHES, picture(32)),
    "vit_mae": ("ViTMAEModel", "ViTMAEConfig", PATCHES, picture(32)),
    "vitdet": ("VitDetModel", "VitDetConfig", PATCHES, picture(32)),
    "yolos": (
        "YolosForObjectDetection", "YolosConfig",
        PATCHES | {"image_size": [32, 32], "num_detection_tokens": 5}, picture(32),
    ),
}  # fmt: skip
SOUND: dict[str, Any] = {
    "audio_spectrogram": (
        "ASTForAudioClassification", "ASTConfig",
        SIZES | {"max_length": 64, "num_mel_bins": 32}, keywords(input_values=numbers(64, 32)),
    ),
    "hubert": ("HubertModel", "HubertConfig", SPEECH, sound),
    "moonshine": (
        "MoonshineForConditionalGeneration", "MoonshineConfig",
        {"vocab_size": WORDS, "hidden_size": 64, "intermediate_size": 128,
         "encoder_num_hidden_layers": 2, "decoder_num_hidden_layers": 2,
         "encoder_num_attention_heads": 4, "decoder_num_attention_heads": 4},
        keywords(
            input_values=numbers(4000), decoder_input_ids=indices(WORDS, 5), use_cache=False
        ),
    ),
    "sew": ("SEWModel", "SEWConfig", SPEECH | {"squeeze_factor": 2}, sound),
    "unispeech": ("UniSpeechModel", "UniSpeechConfig", SPEECH, sound),
    "wav2vec2": ("Wav2Vec2Model", "Wav2Vec2Config", SPEECH, sound),
    "wavlm": ("WavLMModel", "WavLMConfig", SPEECH, sound),
    "whisper": (
        "WhisperModel", "WhisperConfig",
        BOTH | {"max_source_positions": 50, "max_target_positions": 32, "num_mel_bins": 20,
                "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
                "decoder_start_token_id": 1},
        keywords(
            input_features=numbers(20, 100), decoder_input_ids=indices(WORDS, 5), use_cache=False
        ),
    ),
}  # fmt: skip
OTHER: dict[str, Any] = {
    "decision_transformer": (
        "DecisionTransformerModel", "DecisionTransformerConfig",
        {"state_dim": 5, "act_dim": 3, "hidden_size": 32, "n_layer": 2, "n_head": 2,
         "max_ep_len": 32, "vocab_size": 1},
        keywords(
            states=numbers(4, 5), actions=numbers(4, 3), rewards=numbers(4, 1),
            returns_to_go=numbers(4, 1), timesteps=indices(9, 4),
        ),
    ),
    "patchtst": (
        "PatchTSTForPrediction", "PatchTSTConfig",
        {"num_input_channels": 3, "context_length": 32, "patch_length": 8, "patch_stride": 8,
         "prediction_length": 4, "d_model": 32, "num_attention_heads": 4, "ffn_dim": 64,
         "num_hidden_layers": 2}, keywords(past_values=numbers(32, 3)),
    ),
    "patchtsmixer": (
        "PatchTSMixerForPrediction", "PatchTSMixerConfig",
        {"num_input_channels": 3, "context_length": 32, "patch_length": 8, "patch_stride": 8,
         "prediction_length": 4, "d_model": 32, "num_layers": 2},
        keywords(past_values=numbers(32, 3)),
    ),
}  # fmt: skip
KINDS = {
    "encoder": ENCODERS, "decoder": DECODERS, "mixture": MIXTURES, "state space": STATE_SPACE,
    "encoder-decoder": ENCODER_DECODERS, "vision": VISION, "speech": SOUND, "other": OTHER,
}  # fmt: skip


def networks() -> Networks:
    """Yield every network that this version of transformers has."""
    for kind, entries in KINDS.items():
        for name, (model, config, settings, inputs) in entries.items():
            if not (hasattr(hf, model) and hasattr(hf, config)):
                continue
            yield Network(
                library="transformers",
                name=f"{kind}: {name}",
                build=partial(build, getattr(hf, model), getattr(hf, config), settings),
                inputs=inputs,
            )


def build(
    model: Callable[[Any], nn.Module], config: Callable[..., Any], settings: dict[str, Any]
) -> nn.Module:
    """Return a network with random weights."""
    return model(config(**settings))
