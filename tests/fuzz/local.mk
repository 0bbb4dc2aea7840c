# Fuzz targets: libFuzzer programs with --enable-fuzzing, else they replay their corpus.
