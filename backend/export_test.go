package backend

// What the tests outside the package look into.
var (
	CutPlain     = cutPlain
	ParseGeneral = parseGeneral
)
