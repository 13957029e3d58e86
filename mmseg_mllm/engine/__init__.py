from mmseg_mllm.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    ClassCountHook="hooks.class_count_hook",
    LossCurveHook="hooks.loss_curve_hook",
    MuonConstructor="optimizer",
    ProgressHook="hooks.progress_hook",
    ReferringVisualizationHook="hooks.referring_visualization_hook",
    ResumableTrainLoop="train_loop",
)
