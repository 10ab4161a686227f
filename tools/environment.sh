# What the scripts of this folder share; read by them with HERE, this folder.
# PYTHON is the Python to run: by default that of the checkout's .venv, if it
# was set up, else the first on the PATH.
if [ -z "${PYTHON:-}" ]; then
    PYTHON="$HERE/../.venv/bin/python"
    [ -x "$PYTHON" ] || PYTHON=python
fi
export PYTHONPATH="$HERE/..${PYTHONPATH:+:$PYTHONPATH}"
