# Unpacks the files of a wheel that match the wanted patterns, with the modes that they are stored with (which
# `python3 -m zipfile` forgets). A failure of the file system is reported as its errno on standard output, so that the
# caller need not read messages.
import fnmatch, os, shutil, sys, zipfile

wheel, folder, *patterns = sys.argv[1:]
wanted = [p for p in patterns if not p.startswith("!")]
unwanted = [p[1:] for p in patterns if p.startswith("!")]


def matches(name, patterns):
    return any(fnmatch.fnmatchcase(name, p) for p in patterns)


try:
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            if entry.is_dir() or not matches(entry.filename, wanted) or matches(entry.filename, unwanted):
                continue
            path = archive.extract(entry, folder)  # keeps absolute and climbing names inside the folder
            executable = entry.external_attr >> 16 & 0o111
            os.chmod(path, 0o755 if executable else 0o644)
except OSError as error:
    print(error.errno or 0)
    raise
