// Command gen makes catalogue.tsv, the compact form of the catalogue that package guc embeds, from the tables in data: one
// per major, as its server lists them, and the facts that no server lists. Run it in the folder of package guc.
package main

import (
	"embed"
	"fmt"
	"os"
)

//go:embed data
var data embed.FS

func main() {
	b, err := generate(data)
	if err == nil {
		err = os.WriteFile("catalogue.tsv", b, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}
