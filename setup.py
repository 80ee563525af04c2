"""Build the native decoder, which is optional. All metadata is in setup.cfg.

The decoder is a plain shared library that is called through ctypes. It knows nothing of Python, so that one wheel fits
all versions: py3-none-<platform>. Without a C compiler, or where compiling fails, the wheel is the pure py3-none-any,
and other decoders are taken.
"""

from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

NAME = "flowmo_data._native"
SOURCES = Path("flowmo_data/decoding/layer3")
COMPILED = ("avx2.c", "avx512.c", "baseline.c", "dispatch.c", "long_codes.c", "lookup.c")
RESAMPLING = Path("flowmo_data/decoding/resample")
RESAMPLING_COMPILED = ("avx2.c", "baseline.c")
FOLLOW = Path("flowmo_data/tracks/mpeg/follow.c")


class BuildLibrary(build_ext):
    """Name the library without a version of Python, as library.py looks for it."""

    def get_ext_filename(self, fullname: str) -> str:
        return str(Path(*fullname.split(".")).with_suffix(".so"))


class HonestWheel(bdist_wheel):
    """Tag the wheel by what has been built."""

    def run(self) -> None:
        self.run_command("build_ext")
        if not Path(self.get_finalized_command("build_ext").get_ext_fullpath(NAME)).exists():
            self.distribution.ext_modules = []
            self.root_is_pure = True
        super().run()

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


library = Extension(
    NAME,
    sources=[
        *(str(SOURCES / name) for name in COMPILED),
        *(str(RESAMPLING / name) for name in RESAMPLING_COMPILED),
        str(FOLLOW),
    ],
    depends=[str(path) for folder in (SOURCES, RESAMPLING) for path in sorted(folder.glob("*.[ch]"))],
    extra_compile_args=["-O3", "-g0", "-fvisibility=hidden"],
    libraries=["m"],
    optional=True,
)

setup(ext_modules=[library], cmdclass={"build_ext": BuildLibrary, "bdist_wheel": HonestWheel})
