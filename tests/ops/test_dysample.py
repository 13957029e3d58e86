import mmcv.cnn
import mmengine.registry
import pytest
import torch
from helpers.compiler import needs_compiler

from mmseg_mllm.ops import DySample, dysample


def randomise(module, std=0.3):
    """Offsets of about a pixel: the initial ones are nearly zero and would hide mistakes."""
    torch.manual_seed(0)
    with torch.no_grad():
        for param in module.parameters():
            param.normal_(std=std)
    return module


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("style", ["lp", "pl"])
@pytest.mark.parametrize("dyscope", [False, True])
def test_zero_offset_is_bilinear(scale, style, dyscope):
    module = DySample(144, scale_factor=scale, style=style, groups=3, dyscope=dyscope)
    torch.nn.init.zeros_(module.offset.weight)
    x = torch.randn(2, 144, 5, 7)
    expected = torch.nn.functional.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)
    torch.testing.assert_close(module(x), expected, rtol=0, atol=1e-5)


def test_dyscope_scales_offsets_by_the_features():
    """Eq. 5, written out: half a sigmoid for each offset; 0.25 (Eq. 4) at the start."""
    module = randomise(DySample(8, groups=2, dyscope=True))
    x = torch.randn(2, 8, 3, 4)
    weights = (module.offset.weight[:, :, 0, 0], module.scope.weight[:, :, 0, 0])
    raw, scope = (torch.einsum("oc,bchw->bohw", weight, x) for weight in weights)
    raw = raw + module.offset.bias[:, None, None]
    wanted = module.init_pos + raw * 0.5 / (1 + (-scope).exp())
    torch.testing.assert_close(module.predict_offset(x), wanted)
    torch.nn.init.zeros_(module.scope.weight)
    torch.testing.assert_close(module.predict_offset(x), module.init_pos + 0.25 * raw)


def test_bfloat16_positions_are_exact_on_wide_maps():
    """Of a ramp along 256 columns the last ones differ by less than bfloat16 tells apart of coordinates."""
    x = torch.arange(256.0).remainder(8).expand(1, 1, 2, 256).bfloat16()
    offset = torch.full((1, 8, 2, 256), 0.25).bfloat16()
    offset[:, 4:] = 0
    out = dysample(x, offset, scale_factor=2, groups=1)
    wanted = dysample(x.double(), offset.double(), scale_factor=2, groups=1)
    assert out.dtype is torch.bfloat16
    torch.testing.assert_close(out.double(), wanted, rtol=2**-8, atol=0)


def test_offset_layout_on_linear_ramps():
    """Bilinear interpolation of a*x + b*y is exact, so the output tells which position was sampled."""
    B, G, s, H, W = 2, 2, 3, 4, 7
    slopes = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, -1.0], [-0.5, 3.0]], dtype=torch.float64)  # (C, 2)
    C = len(slopes)
    xs, ys = torch.arange(W, dtype=torch.float64), torch.arange(H, dtype=torch.float64)[:, None]
    x = torch.stack([a * xs + b * ys for a, b in slopes]).expand(B, C, H, W)
    torch.manual_seed(0)
    offset = 1.5 * torch.randn(B, 2, G, s, s, H, W, dtype=torch.float64)
    out = dysample(x, offset.reshape(B, -1, H, W), scale_factor=s, groups=G)
    for i in range(s):
        for j in range(s):
            px = (xs + offset[:, 0, :, i, j]).clamp(0, W - 1)
            py = (ys + offset[:, 1, :, i, j]).clamp(0, H - 1)
            for c, (a, b) in enumerate(slopes):
                g = c // (C // G)
                expected = a * px[:, g] + b * py[:, g]
                torch.testing.assert_close(out[:, c, i::s, j::s], expected)


@pytest.mark.parametrize("scale", [2, 3])
@pytest.mark.parametrize("style", ["lp", "pl"])
@pytest.mark.parametrize("dyscope", [False, True])
def test_gradcheck_module(scale, style, dyscope):
    channels = 2 * scale**2
    module = DySample(channels, scale_factor=scale, style=style, groups=2, dyscope=dyscope)
    module = randomise(module).double()
    x = torch.randn(2, channels, 2, 3, dtype=torch.float64, requires_grad=True)
    params = dict(module.named_parameters())

    def call(x, *values):
        return torch.func.functional_call(module, dict(zip(params, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(call, (x, *params.values()), fast_mode=True)


def test_gradcheck_function():
    torch.manual_seed(0)
    x = torch.randn(2, 4, 2, 3, dtype=torch.float64, requires_grad=True)
    offset = torch.randn(2, 2 * 2 * 4, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, o: dysample(x, o, scale_factor=2, groups=2), (x, offset))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sampling_in_low_precision(dtype):
    """Coordinates rounded to bfloat16 are up to a fifth of a pixel off at this width."""
    torch.manual_seed(0)
    x = torch.randn(2, 8, 5, 200).to(dtype)
    offset = 0.5 * torch.randn(2, 2 * 4 * 4, 5, 200)
    out = dysample(x, offset, scale_factor=2, groups=4)
    assert out.dtype == dtype
    # The same float32 computation, rounded once at the end.
    assert torch.equal(out, dysample(x.float(), offset, scale_factor=2, groups=4).to(dtype))


@pytest.mark.parametrize("dyscope", [False, True])
@pytest.mark.parametrize("style", ["lp", "pl"])
@pytest.mark.parametrize("mode", ["bf16", "fp16", "autocast"])
def test_module_in_low_precision(mode, style, dyscope):
    dtype = torch.float16 if mode == "fp16" else torch.bfloat16
    module = randomise(DySample(16, style=style, dyscope=dyscope), std=0.1)
    # Weights and input that low precision holds exactly: what differs is the arithmetic only.
    module.to(dtype).float()
    x = torch.randn(2, 16, 4, 200).to(dtype).float()
    with torch.no_grad():
        expected = module(x)
        if mode == "autocast":
            with torch.autocast("cpu", dtype=dtype):
                offset, out = module.predict_offset(x), module(x)
            assert out.dtype == torch.float32
        else:
            low = module.to(dtype)
            offset, out = low.predict_offset(x.to(dtype)), low(x.to(dtype))
            assert out.dtype == dtype
    assert offset.dtype == torch.float32
    # Rounded offsets (2^-9 of a value around 0.3 pixels) and a rounded output, not rounded coordinates.
    assert (out.float() - expected).abs().max() < 0.03


def test_compiles_as_one_graph():
    module = randomise(DySample(16, style="pl", dyscope=True))
    compiled = torch.compile(module, backend="eager", fullgraph=True, dynamic=True)
    for size in [(3, 5), (4, 7)]:
        x = torch.randn(2, 16, *size)
        torch.testing.assert_close(compiled(x), module(x))


ODD_SIZES = [(2, 7, 11), (1, 13, 5), (3, 1, 4)]


@needs_compiler
@pytest.mark.parametrize(
    ("kwargs", "size"), [({}, (7, 11)), (dict(style="pl", scale_factor=3, dyscope=True), (13, 5))]
)
def test_compiled_equals_eager(kwargs, size):
    module = randomise(DySample(36, **kwargs), std=0.1)
    # The detection of vector instructions and shared headers take longer than compiling once without.
    options = {"cpp.simdlen": 1, "cpp_cache_precompile_headers": False}
    compiled = torch.compile(module, fullgraph=True, dynamic=False, options=options)
    x = torch.randn(2, 36, *size)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), module(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kwargs", [{}, dict(scale_factor=3, style="pl", groups=3, dyscope=True)])
@pytest.mark.filterwarnings("ignore")
def test_onnx_equals_eager(kwargs, tmp_path):
    """One exported file serves all batches and sizes."""
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    module = randomise(DySample(36, **kwargs), std=0.1).eval()
    path = str(tmp_path / "dysample.onnx")
    sizes = dict(x={0: "batch", 2: "height", 3: "width"})
    torch.onnx.export(
        module, (torch.zeros(2, 36, 4, 6),), path, dynamo=True, dynamic_shapes=sizes, verbose=False
    )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for batch, *size in ODD_SIZES:
        x = torch.randn(batch, 36, *size)
        (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        with torch.no_grad():
            torch.testing.assert_close(torch.from_numpy(found), module(x), rtol=0, atol=1e-5)


def test_initial_state():
    module = DySample(64, dyscope=True)
    assert set(module.state_dict()) == {"offset.weight", "offset.bias", "scope.weight", "init_pos"}
    assert 5e-4 < module.offset.weight.std() < 2e-3
    assert not module.offset.bias.any()
    assert not module.scope.weight.any()


@pytest.mark.parametrize("scope", [None, "mmseg"])
def test_build_upsample_layer(scope):
    if scope:
        pytest.importorskip("mmseg")
    cfg = dict(type="DySample", in_channels=32, scale_factor=4, style="pl", groups=2, dyscope=True)
    with mmengine.registry.DefaultScope.overwrite_default_scope(scope):
        module = mmcv.cnn.build_upsample_layer(cfg)
    assert type(module) is DySample
    assert module(torch.randn(1, 32, 3, 2)).shape == (1, 32, 12, 8)
    assert (
        type(mmcv.cnn.build_upsample_layer(dict(type="DySample", scale_factor=2), in_channels=32)) is DySample
    )


def test_found_from_mmseg_registry():
    registry = pytest.importorskip("mmseg.registry").MODELS
    assert registry.get("DySample") is DySample


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        (dict(in_channels=8, style="lpl"), "style must be"),
        (dict(in_channels=8, groups=3), "divisible by groups"),
        (dict(in_channels=12, style="pl", scale_factor=4), "divisible by scale_factor"),
        (dict(in_channels=8, scale_factor=1.5), "scale_factor must be a positive integer"),
        (dict(in_channels=8, scale_factor=0), "scale_factor must be a positive integer"),
        (dict(in_channels=8, groups=0), "groups must be a positive integer"),
        (dict(in_channels=0), "in_channels must be a positive integer"),
    ],
)
def test_bad_module_arguments(kwargs, match):
    with pytest.raises(ValueError, match=match):
        DySample(**kwargs)


@pytest.mark.parametrize(
    ("channels", "offset_shape", "match"),
    [
        (6, (2, 32, 3, 5), "divisible by groups"),
        (8, (2, 16, 3, 5), "offset must be of shape"),
        (8, (2, 32, 5, 3), "offset must be of shape"),
        (8, (1, 32, 3, 5), "offset must be of shape"),
    ],
)
def test_bad_function_arguments(channels, offset_shape, match):
    with pytest.raises(ValueError, match=match):
        dysample(torch.zeros(2, channels, 3, 5), torch.zeros(offset_shape), scale_factor=2, groups=4)
