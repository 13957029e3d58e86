def test_list_and_copy(command, tmp_path):
    code, said, _ = command("configs")
    assert code == 0
    assert "mllmseg/internvl2_5_8b_refcoco.py" in said.splitlines()
    assert command("configs", "--copy", "mllmseg/internvl2_5_8b_refcoco.py", tmp_path)[0] == 0
    copy = tmp_path / "internvl2_5_8b_refcoco.py"
    assert "mmseg_mllm::_base_/" in copy.read_text()
    for arguments, message in (
        (["nothing", tmp_path], "nothing: no such config"),
        (["mllmseg/internvl2_5_8b_refcoco", tmp_path], "is there already"),
        (["mllmseg/internvl2_5_8b_refcoco", tmp_path / "no/x.py"], "can't be written"),
        (["mllmseg/internvl2_5_8b_refcoco", tmp_path / "new"], "a config is a file"),
    ):
        code, _, error = command("configs", "--copy", *arguments)
        assert code == 1
        assert message in error
