"""preload - a wall clock, an allocator and a disk that a test turns while a daemon runs (tests/fake/preload_*.c)."""

import pathlib
import struct
import subprocess

FAKE = pathlib.Path(__file__).resolve().parents[2] / "fake"


def _build(name, directory):
    library = pathlib.Path(directory) / f"{name}.so"
    subprocess.run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-O1", "-shared", "-fPIC", "-o", library, FAKE / f"{name}.c"],
                   check=True)
    return library


class _Preload:
    """`environment` is what the program must be started with."""

    def __init__(self, name, variable, size, directory):
        self.file = pathlib.Path(directory) / f"{name}.control"
        self.file.write_bytes(bytes(size))
        self.environment = {"LD_PRELOAD": str(_build(name, directory)), variable: str(self.file),
                            "ASAN_OPTIONS": "verify_asan_link_order=0", "TSAN_OPTIONS": "verify_asan_link_order=0"}

    def _write(self, at, data):
        with open(self.file, "r+b", buffering=0) as file:
            file.seek(at)
            file.write(data)


class Clock(_Preload):
    def __init__(self, directory):
        super().__init__("preload_clock", "PRELOAD_CLOCK", 8, directory)
        self.wrong_s = 0

    def step(self, seconds):
        """From now on the wall clock is wrong by so much."""
        self.wrong_s = seconds
        self._write(0, struct.pack("=q", seconds))


class Allocator(_Preload):
    def __init__(self, directory, caller=""):
        """`caller`: part of the file name of the library or program whose allocations fail."""
        super().__init__("preload_alloc", "PRELOAD_ALLOC", 12, directory)
        self.environment["PRELOAD_CALLER"] = caller

    def fail(self, every):
        """One allocation in `every` fails from now on, counted from here; 0: none."""
        self._write(0, struct.pack("=III", every, 0, 0))

    @property
    def failed(self):
        return struct.unpack("=I", self.file.read_bytes()[4:8])[0]


class RefusedWrites(_Preload):
    def __init__(self, directory):
        super().__init__("preload_disk", "PRELOAD_DISK", 4, directory)

    def refuse(self, error):
        """From now on every write and sync of LMDB fails with this errno; 0: none."""
        self._write(0, struct.pack("=i", error))
