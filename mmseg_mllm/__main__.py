from mmseg_mllm.cli import main

if __name__ == "__main__":
    main()
