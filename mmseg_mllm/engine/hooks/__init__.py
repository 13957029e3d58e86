from mmseg_mllm.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    ClassCountHook="class_count_hook",
    SafeCheckpointHook="checkpoint_hook",
    LossCurveHook="loss_curve_hook",
    MergeAdaptersHook="merge_adapters_hook",
    ProgressHook="progress_hook",
    ThroughputHook="throughput_hook",
    ReferringVisualizationHook="referring_visualization_hook",
    ShardsHook="shards_hook",
    SpreadSegVisualizationHook="spread_seg_visualization_hook",
)
