// Package config holds what an operator may set, and reads it.
//
// A setting has one name in three spellings: a flag (--store-dir), an environment variable
// (ROOST_STORE_DIR) and a key in the settings file (store_dir). A flag counts before the
// environment, that before the file, that before the default.
//
//	var server config.Server
//	err := config.Sources{Flags: flags, File: "roost.yaml", Environ: os.Environ()}.Load(&server)
//
// # Guarantees
//
//   - [Sources.Load] reports everything that is wrong at once, each with the file's line, the
//     variable or the flag that it came from.
//   - A key that no setting has is an error, in the file; the environment is shared with
//     others and may hold any variable.
package config
