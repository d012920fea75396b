# SPDX-License-Identifier: Apache-2.0
"""Find code through which data could become code, by reading the source.

`findings(source)` names every place where a file
- imports a module that unpickles (or would write what only unpickling reads back),
- loads arrays, weights or models in a way that may unpickle, or lets a hub's code run,
- evaluates text, reads YAML with a loader that makes objects, or goes through a shell,
- opens a network connection by itself, or imports a module by a name given at run time.

The names of `import a as b` and `from a import b as c` are followed, in functions too. A name that is built at run
time, such as getattr(torch, 'lo' + 'ad'), is not found: the check finds mistakes and not attacks.
"""

import ast
from collections.abc import Iterator

PICKLING = {
    '_pickle',
    'cloudpickle',
    'dill',
    'hickle',
    'joblib',
    'jsonpickle',
    'klepto',
    'marshal',
    'pickle',
    'pickletools',
    'shelve',
    'srsly',
    'torch.package',
}
# They send pickles, but to processes that were started here and over pipes that nobody else holds.
PROCESSES = {'multiprocessing', 'concurrent.futures.ProcessPoolExecutor', 'concurrent.futures.process'}
# The parts of them that others can connect to.
OPEN_PROCESSES = {'multiprocessing.connection', 'multiprocessing.managers', 'multiprocessing.Manager'}
NETWORK = {
    'aiohttp',
    'asyncio',
    'flask',
    'fastapi',
    'ftplib',
    'grpc',
    'http',
    'httpx',
    'huggingface_hub',
    'paramiko',
    'requests',
    'smtplib',
    'socket',
    'socketserver',
    'telnetlib',
    'urllib',
    'urllib3',
    'websocket',
    'websockets',
    'xmlrpc',
    'zmq',
}
NEVER_CALLED = {
    'eval': 'evaluates text',
    'exec': 'runs text',
    'compile': 'compiles text',
    '__import__': 'imports by name',
    'os.system': 'goes through a shell',
    'os.popen': 'goes through a shell',
    'subprocess.getoutput': 'goes through a shell',
    'subprocess.getstatusoutput': 'goes through a shell',
    'torch.save': 'writes a pickle',
    'torch.jit.load': 'runs code of the file',
    'torch.hub.load': 'runs code of a hub',
    'torch.export.load': 'may unpickle',
    'torch.export.save': 'writes what may be unpickled',
    'yaml.unsafe_load': 'makes objects',
    'yaml.unsafe_load_all': 'makes objects',
    'yaml.full_load': 'makes objects',
    'yaml.full_load_all': 'makes objects',
    'pandas.read_pickle': 'unpickles',
}
SAFE_LOADERS = {'yaml.SafeLoader', 'yaml.CSafeLoader'}
DYNAMIC_IMPORT = 'importlib.import_module'


def findings(source: str) -> list[str]:
    """Return what is unsafe in a file of Python, each with its line."""
    finder = _Finder(ast.parse(source))
    return [f'line {line}: {text}' for line, text in sorted(finder.find())]


class _Finder:
    """One file: what its names stand for, and what it does with them."""

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        self._names: dict[str, str] = {}
        self._safe_loaders = set(SAFE_LOADERS)
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    short = alias.name.split('.')[0]
                    self._names[alias.asname or short] = alias.name if alias.asname else short
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for alias in node.names:
                    self._names[alias.asname or alias.name] = f'{node.module}.{alias.name}'
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and {self._dotted(base) for base in node.bases} & SAFE_LOADERS:
                self._safe_loaders.add(node.name)

    def _dotted(self, node: ast.expr) -> str:
        """The full name of an expression as `np.load`, '' when it has none."""
        if isinstance(node, ast.Name):
            name = self._names.get(node.id, node.id)
            return 'numpy' + name[2:] if name == 'np' or name.startswith('np.') else name
        if isinstance(node, ast.Attribute):
            owner = self._dotted(node.value)
            return f'{owner}.{node.attr}' if owner else ''
        return ''

    def find(self) -> Iterator[tuple[int, str]]:
        """Yield line and text of each finding."""
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield from self._imported(node.lineno, alias.name)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for alias in node.names:
                    yield from self._imported(node.lineno, f'{node.module}.{alias.name}')
            elif isinstance(node, ast.Call):
                for text in self._called(node):
                    yield node.lineno, text

    @staticmethod
    def _imported(line: int, name: str) -> Iterator[tuple[int, str]]:
        def within(modules: set[str]) -> bool:
            return any(name == module or name.startswith(module + '.') for module in modules)

        if within(PICKLING):
            yield line, f'imports {name}, which unpickles'
        elif within(OPEN_PROCESSES):
            yield line, f'imports {name}, to which others can connect'
        elif within(PROCESSES):
            yield line, f'imports {name}, which sends pickles to processes of its own'
        elif within(NETWORK):
            yield line, f'imports {name}, which opens connections'

    def _called(self, call: ast.Call) -> Iterator[str]:
        name = self._dotted(call.func)
        arguments = {word.arg: word.value for word in call.keywords if word.arg}
        if name in NEVER_CALLED:
            yield f'{name} {NEVER_CALLED[name]}'
        if name in OPEN_PROCESSES:
            yield f'{name}: others can connect to it'
        if name == 'torch.load' and not _is(arguments.get('weights_only'), True):
            yield 'torch.load without weights_only=True unpickles'
        if name in ('numpy.load', 'numpy.lib.format.read_array') and not _is(arguments.get('allow_pickle'), False):
            yield f'{name} without allow_pickle=False'
        if 'trust_remote_code' in arguments and not _is(arguments['trust_remote_code'], False):
            yield 'trust_remote_code lets code of a hub run'
        if 'shell' in arguments and not _is(arguments['shell'], False):
            yield 'shell=True goes through a shell'
        if name in ('yaml.load', 'yaml.load_all'):
            loader = arguments.get('Loader') or (call.args[1] if len(call.args) > 1 else None)
            if loader is None or self._dotted(loader) not in self._safe_loaders:
                yield f'{name} with a loader that makes objects'
        if name == DYNAMIC_IMPORT:
            module = call.args[0] if call.args else None
            if not isinstance(module, ast.Constant):
                yield 'imports a module by a name given at run time'
            else:
                for _, text in self._imported(0, str(module.value)):
                    yield text


def _is(node: ast.expr | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value
