"""`python -m launcher` is `virt-launcher`."""

import sys

from launcher.cli import main

sys.exit(main())
