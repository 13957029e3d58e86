"""Muon for the layers' matrices and AdamW for all else, as one optimiser."""

from mmengine.optim import OptimWrapper
from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS
from torch import nn, optim

_BY_ADAMW = ("embed_tokens", "lm_head", "patch_embeddings", "squares", "asked", "seen", "lora_")


class MuonAdamW(optim.Optimizer):
    """``torch.optim.Muon`` and ``torch.optim.AdamW``, whose groups and states are those of one optimiser.

    Args:
        matrices: Parameters for Muon, each with two dimensions.
        others: Parameters for AdamW.
        muon, adamw: Arguments of the two.
    """

    def __init__(
        self, *, matrices: list[nn.Parameter], others: list[nn.Parameter], muon: dict, adamw: dict
    ) -> None:
        self.parts = (optim.Muon(matrices, **muon), optim.AdamW(others, **adamw))
        groups = [group for part in self.parts for group in part.param_groups]
        super().__init__(groups, defaults=dict(lr=groups[1]["lr"]))
        self._share()

    def _share(self) -> None:
        for part, group in zip(self.parts, self.param_groups, strict=True):
            part.state, part.param_groups = self.state, [group]

    def step(self, closure: None = None) -> None:
        """One step of both."""
        for part in self.parts:
            part.step()

    def load_state_dict(self, state_dict: dict) -> None:
        """As of any optimiser."""
        super().load_state_dict(state_dict)
        self._share()


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class MuonConstructor:
    """Builds an optimiser wrapper with :class:`MuonAdamW`, for small models that have few steps to learn in.

    Muon (https://kellerjordan.github.io/posts/muon/) takes the matrices of linear layers; embeddings, the LM
    head, convolutions, LoRA, norms and biases stay with AdamW. (LoRA learned far less by Muon.)

    Args:
        optim_wrapper_cfg: Config of the wrapper, with ``optimizer=dict(muon=..., adamw=...)``, arguments of
            ``torch.optim.Muon`` and ``torch.optim.AdamW``.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: None = None) -> None:
        self.config = dict(optim_wrapper_cfg)

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """The wrapper for all parameters of ``model`` that are trained."""
        matrices, others = [], []
        for name, parameter in model.named_parameters():
            by_muon = parameter.ndim == 2 and not any(part in name for part in _BY_ADAMW)
            if parameter.requires_grad:
                (matrices if by_muon else others).append(parameter)
        optimizer = MuonAdamW(matrices=matrices, others=others, **self.config["optimizer"])
        return OPTIM_WRAPPERS.build(
            dict(dict(type="OptimWrapper"), **{**self.config, "optimizer": optimizer})
        )
