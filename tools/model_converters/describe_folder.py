"""The file that says how a folder's model is used, for one without: describe_folder.py CONFIG FOLDER."""

from pathlib import Path

from mmseg_mllm.engine.cli import check_config_path, check_source_folder, config_parser, run_tool


def main() -> None:
    parser = config_parser("Let a model folder of an earlier version be loaded without its config.")
    parser.add_argument("folder", type=Path, help="model folder; gets the file mmseg_mllm.json")
    args = parser.parse_args()
    check_config_path(args.config)
    check_source_folder(args.folder)
    # Torch is imported here, after the arguments were found right.
    from mmseg_mllm.conversion.describe import describe_folder
    from mmseg_mllm.engine.config import load_config

    describe_folder(load_config(args.config, args.cfg_options).model, args.folder)
    print(f'{args.folder}: load it with RESPredictor.from_pretrained("{args.folder}")')


if __name__ == "__main__":
    run_tool(main)
