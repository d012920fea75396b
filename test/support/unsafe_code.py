# SPDX-License-Identifier: Apache-2.0
"""Static check for code that could execute data.

`findings(source)` lists every place where a file
- imports a module that unpickles or writes pickles,
- loads arrays, weights or models in a way that may unpickle, or runs the code of a model hub,
- evaluates text, reads YAML with a loader that creates objects, or uses a shell,
- opens a network connection, or imports a module by a name given at run time.

The check resolves `import a as b` and `from a import b as c`, in functions too. It does not resolve a name that is
built at run time, such as getattr(torch, 'lo' + 'ad'). It finds mistakes, not attacks.
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
# They send pickles, but only to child processes, through pipes that no other process can open.
PROCESSES = {'multiprocessing', 'concurrent.futures.ProcessPoolExecutor', 'concurrent.futures.process'}
# The parts of them to which other processes can connect.
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
    'os.system': 'uses a shell',
    'os.popen': 'uses a shell',
    'subprocess.getoutput': 'uses a shell',
    'subprocess.getstatusoutput': 'uses a shell',
    'torch.save': 'writes a pickle',
    'torch.jit.load': 'runs code from the file',
    'torch.hub.load': 'runs code from a model hub',
    'torch.export.load': 'may unpickle',
    'torch.export.save': 'writes a file that loading may unpickle',
    'yaml.unsafe_load': 'creates objects',
    'yaml.unsafe_load_all': 'creates objects',
    'yaml.full_load': 'creates objects',
    'yaml.full_load_all': 'creates objects',
    'pandas.read_pickle': 'unpickles',
}
SAFE_LOADERS = {'yaml.SafeLoader', 'yaml.CSafeLoader'}
DYNAMIC_IMPORT = 'importlib.import_module'


def findings(source: str) -> list[str]:
    """Return the unsafe places of a Python source, each with its line."""
    finder = _Finder(ast.parse(source))
    return [f'line {line}: {text}' for line, text in sorted(finder.find())]


class _Finder:
    """The imported names of one file, and the unsafe uses of them."""

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
        """Return the full name of an expression such as `np.load`, or '' if it has none."""
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
            yield line, f'imports {name}, to which other processes can connect'
        elif within(PROCESSES):
            yield line, f'imports {name}, which sends pickles to child processes'
        elif within(NETWORK):
            yield line, f'imports {name}, which opens connections'

    def _called(self, call: ast.Call) -> Iterator[str]:
        name = self._dotted(call.func)
        arguments = {word.arg: word.value for word in call.keywords if word.arg}
        if name in NEVER_CALLED:
            yield f'{name} {NEVER_CALLED[name]}'
        if name in OPEN_PROCESSES:
            yield f'{name}: other processes can connect to it'
        if name == 'torch.load' and not _is(arguments.get('weights_only'), True):
            yield 'torch.load without weights_only=True unpickles'
        if name in ('numpy.load', 'numpy.lib.format.read_array') and not _is(arguments.get('allow_pickle'), False):
            yield f'{name} without allow_pickle=False'
        if 'trust_remote_code' in arguments and not _is(arguments['trust_remote_code'], False):
            yield 'trust_remote_code runs code from a model hub'
        if 'shell' in arguments and not _is(arguments['shell'], False):
            yield 'shell=True uses a shell'
        if name in ('yaml.load', 'yaml.load_all'):
            loader = arguments.get('Loader') or (call.args[1] if len(call.args) > 1 else None)
            if loader is None or self._dotted(loader) not in self._safe_loaders:
                yield f'{name} with a loader that creates objects'
        if name == DYNAMIC_IMPORT:
            module = call.args[0] if call.args else None
            if not isinstance(module, ast.Constant):
                yield 'imports a module by a name given at run time'
            else:
                for _, text in self._imported(0, str(module.value)):
                    yield text


def _is(node: ast.expr | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value
