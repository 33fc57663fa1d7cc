// The tutorial's cluster is started by goreman, as its readers start it. Its sums are kept beside, so that
// the same source is built everywhere, also where the checksum database cannot be asked.
module goreman

go 1.21

require github.com/mattn/goreman v0.3.15
