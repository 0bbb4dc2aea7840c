# sts-milter. Everything but main is in a library that tests link too.
