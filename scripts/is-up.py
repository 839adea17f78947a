#!/usr/bin/env python3
"""A health check for images without curl: ends well when the URL answers with success. Usage: scripts/is-up.py URL"""

import sys
import urllib.request

with urllib.request.urlopen(sys.argv[1], timeout=5):
    pass
