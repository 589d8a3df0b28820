// Package backup writes what a registry holds to a file, and brings it back from one.
//
//	header, err := backup.Export(ctx, registry, office, w, backup.Options{})
//	file, err := backup.Open(r)               // refuses what is damaged
//	plan, err := backup.Import{Registry: registry, Office: office, File: file}.Plan(ctx)
//
// A file is JSON Lines: a header, one line for each registration in the order of their keys,
// one for each mark, and an end with a checksum of all that was before it. Marks are what is
// kept of objects of coordination: what may only grow, see [bus.Mark].
//
// Registrations are read and written through [backend.Backend] alone, so whatever keeps
// them, keeps the rules. Nothing is held for an export by the registry: it is read page by
// page, then what has changed meanwhile, until nothing has.
//
// # Guarantees
//
//   - The registrations of a file are exactly those of one revision, and the marks are those
//     of that revision or higher ones.
//   - A file that is damaged, truncated or of a later format is refused by [Open] before
//     anything is changed.
//   - Whatever was imported, the epoch is above that of the file: no token that was given
//     before the backup, or after it, comes again.
//   - An import that was interrupted is finished by another; one that was finished changes
//     nothing when it is repeated.
//   - What the registry holds already is never replaced by what a file has.
//
// # Not guaranteed
//
//   - Leases and what belongs to them: they are in the file for whoever reads it, and are not
//     imported. A process that lives registers again by itself; one that does not must not
//     look as if it did.
//   - Revisions and times of registrations: those that are imported are new.
//
// # Concurrency
//
// Memory is bounded on both sides, by what changes while an export runs: about 100 bytes for
// each key, at most [Options].MaxChanges. A registry may be used meanwhile.
package backup
