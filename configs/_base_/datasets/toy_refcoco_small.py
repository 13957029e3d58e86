# Four images a step, in the process itself: for models so small that a worker would cost more than they do.
_base_ = "./toy_refcoco.py"
train_dataloader = dict(batch_size=4, num_workers=0)
val_dataloader = dict(num_workers=0)
