"""`python -m scenepress`."""

import sys

from scenepress.cli import main

sys.exit(main())
