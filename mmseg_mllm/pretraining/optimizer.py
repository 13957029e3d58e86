"""Muon for the layers' matrices, AdamW for all else."""

from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn, optim

_BY_ADAMW = ("embed_tokens", "lm_head", "patch_embeddings", "squares", "asked", "seen")


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class MuonConstructor:
    """Builds the two optimisers of a model that is trained from random numbers.

    Args:
        optim_wrapper_cfg: ``muon`` and ``adamw``, arguments of ``torch.optim.Muon`` and ``AdamW``, and
            ``clip_grad``.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        self.config = optim_wrapper_cfg

    def __call__(self, model: nn.Module) -> OptimWrapperDict:
        """Optimiser wrappers 'muon' and 'adamw' of all parameters that are trained."""
        matrices, others = [], []
        for name, parameter in model.named_parameters():
            by_muon = parameter.ndim == 2 and not any(part in name for part in _BY_ADAMW)
            if parameter.requires_grad:
                (matrices if by_muon else others).append(parameter)
        clip = self.config.get("clip_grad")
        return OptimWrapperDict(
            muon=OptimWrapper(optim.Muon(matrices, **self.config["muon"]), clip_grad=clip),
            adamw=OptimWrapper(optim.AdamW(others, **self.config["adamw"]), clip_grad=clip),
        )
