package bench

// Curve is how something grows, at the registry and at the baseline.
type Curve struct {
	ID, What, Unit string
	Of             string // what there is more and more of
	Points         []Point
}

// Point is one of a curve.
type Point struct{ X, Roost, Bare float64 }

// drawnCurves says which curves are drawn of which cells: of the case, or figure, that keep says.
var drawnCurves = []struct {
	id, what, unit, of string
	keep               func(c *CaseReport) bool
	value              func(s *SideReport) float64
}{
	{"P1", "look-up, p50, 1 in flight", "µs", "registrations", onCurve("", 1), p50},
	{"P1", "look-ups, 64 in flight", "1/s", "registrations", onCurve("", 64), perSecond},
	{"P3", "register, p50, 1 in flight", "µs", "registrations", onCurve("", 1), p50},
	{"P3", "registers, 64 in flight", "1/s", "registrations", onCurve("", 64), perSecond},
	{"P11", "list of all, p50", "µs", "registrations", onCurve("list, bytes", 1), p50},
	{"P11", "Replica of a tenth ready, p50", "µs", "registrations", onCurve("Replica ready", 1), p50},
	{"P6", "change until heard, p50", "µs", "subscribers", func(*CaseReport) bool { return true }, p50},
	{"P13", "hand-over of a lock, p50", "µs", "waiters", func(*CaseReport) bool { return true }, p50},
}

func p50(s *SideReport) float64       { return s.P50Us }
func perSecond(s *SideReport) float64 { return s.PerSecond }

func onCurve(what string, inFlight int) func(*CaseReport) bool {
	return func(c *CaseReport) bool {
		return c.Curve && c.InFlight == inFlight && len(c.What) >= len(what) && c.What[:len(what)] == what
	}
}

// Curves returns those that there are at least two points of.
func (r *Report) Curves() (curves []Curve) {
	for _, d := range drawnCurves {
		curve := Curve{ID: d.id, What: d.what, Unit: d.unit, Of: d.of}
		for _, cell := range r.Cells {
			for i := range cell.Cases {
				if k := &cell.Cases[i]; cell.ID == d.id && k.X > 0 && d.keep(k) {
					curve.Points = append(curve.Points, Point{X: k.X, Roost: d.value(&k.Roost), Bare: d.value(&k.Bare)})
				}
			}
		}
		curves = append(curves, curve)
	}
	memory := Curve{ID: "P9", What: "memory of a node", Unit: "MiB", Of: "registrations"}
	for _, cell := range r.Cells {
		for _, f := range cell.Figures {
			if cell.ID == memory.ID && f.Unit == memory.Unit && f.X > 0 && !f.Again {
				memory.Points = append(memory.Points, Point{X: f.X, Roost: f.Roost, Bare: f.Bare})
			}
		}
	}
	whole := curves[:0]
	for _, c := range append(curves, memory) {
		if len(c.Points) > 1 {
			whole = append(whole, c)
		}
	}
	return whole
}
