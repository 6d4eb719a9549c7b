"""`python -m symnet`."""

import sys

from symnet.cli.main import main

sys.exit(main())
