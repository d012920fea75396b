# SPDX-License-Identifier: Apache-2.0
"""Prints the size of what `pip install` downloads, from the report of `pip install --dry-run --report`."""

import json
import sys
import urllib.request
from pathlib import Path


def download_size(url: str) -> int:
    """Return the number of bytes the server reports for a file; a local file needs no download."""
    if not url.startswith(('http://', 'https://')):
        return 0
    request = urllib.request.Request(url, method='HEAD')
    with urllib.request.urlopen(request, timeout=30) as response:
        return int(response.headers['Content-Length'])


def main(report: Path) -> None:
    """Print the total size in GB and the number of packages."""
    packages = json.loads(report.read_text(encoding='utf-8'))['install']
    total = sum(download_size(package['download_info']['url']) for package in packages)
    print(f'{total / 1e9:.1f} GB ({len(packages)} packages)')


if __name__ == '__main__':
    main(Path(sys.argv[1]))
