"""``python -m planish.cli``."""

import sys

from planish.cli import main

sys.exit(main())
