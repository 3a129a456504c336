// Starts etcd, whose own main package is in a module that names its neighbours by folder.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
