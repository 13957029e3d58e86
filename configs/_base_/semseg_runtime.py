# What MMSegmentation's inferencer, picture hook and test-time augmentation look for.
_base_ = "./default_runtime.py"
env_cfg = dict(cudnn_benchmark=True)
visualizer = dict(type="SegLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")], name="visualizer")
tta_model = dict(type="SegTTAModel")
