"""`python -m jobstream`: the command line, for where its script is not on the PATH."""

from jobstream.cli.main import main

if __name__ == "__main__":
    main()
