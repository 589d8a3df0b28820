package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/clipperhouse/displaywidth"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
)

// permanent is how tables show a registration without an owner.
const permanent = "permanent"

// shownInstance makes the empty instance visible.
func shownInstance(instance string) string {
	if instance == "" {
		return "(unique)"
	}
	return instance
}

func shownOwner(owner string) string {
	if owner == "" {
		return permanent
	}
	return owner
}

func shownTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

func shownEndpoints(endpoints client.Endpoints) string {
	var parts []string
	for name, uri := range endpoints.All() {
		parts = append(parts, name+"="+uri)
	}
	return strings.Join(parts, " ")
}

// shownMetadata is empty for no metadata.
func shownMetadata(m client.Metadata) string {
	if m == "" {
		return ""
	}
	return m.String()
}

func writeRegistrations(w io.Writer, found []*client.Registration, namespaces bool) error {
	if len(found) == 0 {
		_, err := fmt.Fprintln(w, "no registrations")
		return err
	}
	t := table{
		headings: []string{"SERVICE", "INSTANCE", "STATUS", "WEIGHT", "REVISION", "OWNER", "ENDPOINTS", "METADATA"},
		flexible: []int{0, 1, 6, 7},
	}
	if namespaces {
		t.headings = append([]string{"NAMESPACE"}, t.headings...)
		t.flexible = []int{0, 1, 2, 7, 8}
	}
	for _, r := range found {
		cells := []string{
			r.Service, shownInstance(r.Instance), r.Status.String(), strconv.Itoa(int(r.Weight)),
			strconv.FormatUint(uint64(r.Revision), 10), shownOwner(r.Owner), shownEndpoints(r.Endpoints), shownMetadata(r.Metadata),
		}
		if namespaces {
			cells = append([]string{r.Namespace}, cells...)
		}
		t.add(cells...)
	}
	return t.write(w, terminalWidth(w))
}

func writeServices(w io.Writer, found []client.ServiceInfo, namespaces bool) error {
	if len(found) == 0 {
		_, err := fmt.Fprintln(w, "no services")
		return err
	}
	t := table{headings: []string{"SERVICE", "INSTANCES", "UP", "REVISION"}, flexible: []int{0}}
	if namespaces {
		t.headings, t.flexible = append([]string{"NAMESPACE"}, t.headings...), []int{0, 1}
	}
	for _, s := range found {
		cells := []string{s.Service, strconv.Itoa(s.Instances), strconv.Itoa(s.Up), strconv.FormatUint(uint64(s.Revision), 10)}
		if namespaces {
			cells = append([]string{s.Namespace}, cells...)
		}
		t.add(cells...)
	}
	return t.write(w, terminalWidth(w))
}

// card is one thing, a line a field. Nothing is cut short.
type card [][2]string

func (c *card) add(label, value string) { *c = append(*c, [2]string{label, value}) }

func (c card) write(w io.Writer) error {
	wide := 0
	for _, field := range c {
		wide = max(wide, displaywidth.String(field[0]))
	}
	var text strings.Builder
	for _, field := range c {
		line := field[0] + strings.Repeat(" ", wide-displaywidth.String(field[0])+gap) + visible(field[1])
		text.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func writeCard(w io.Writer, r *client.Registration) error {
	var c card
	c.add("namespace", r.Namespace)
	c.add("service", r.Service)
	c.add("instance", shownInstance(r.Instance))
	c.add("status", r.Status.String())
	c.add("weight", strconv.Itoa(int(r.Weight)))
	for name, uri := range r.Endpoints.All() {
		c.add("endpoint", name+"="+uri)
	}
	if text := shownMetadata(r.Metadata); text != "" {
		c.add("metadata", text)
	}
	c.add("owner", shownOwner(r.Owner))
	c.add("revision", fmt.Sprintf("%d (created at %d)", r.Revision, r.CreatedRevision))
	c.add("created", shownTime(r.CreatedAt))
	c.add("updated", shownTime(r.UpdatedAt))
	return c.write(w)
}

func writeHealth(w io.Writer, h *bus.HealthReply) error {
	var c card
	c.add("status", h.Status.String())
	for _, problem := range h.Problems {
		c.add("problem", problem)
	}
	for _, note := range h.Notes {
		c.add("note", note)
	}
	c.add("node", h.Node)
	c.add("version", h.Version)
	c.add("backend", fmt.Sprintf("%s, %s", h.Backend, h.State))
	c.add("registrations", fmt.Sprintf("%d of %d services", h.Registrations, h.Services))
	c.add("leases", shownLeases(h))
	if h.ConnectionEvents != nil {
		c.add("closed connections", map[bool]string{true: "noticed at once", false: "not noticed before the TTL has passed"}[*h.ConnectionEvents])
	}
	c.add("revision", fmt.Sprintf("%d in epoch %d, at most %d ms old", h.Revision, h.Epoch, h.AgeMs))
	if h.Keeper != nil {
		c.add("keeper", fmt.Sprintf("%s, term %d", h.Keeper.Node, h.Keeper.Term))
	}
	for _, line := range shownCluster(h.Cluster) {
		c.add(line[0], line[1])
	}
	c.add("requests", fmt.Sprintf("%d answered, %d failed, %d refused, %d of %d in flight",
		h.Requests.Answered, h.Requests.Failed, h.Requests.Refused, h.Requests.InFlight, h.Requests.Limit))
	if err := c.write(w); err != nil {
		return err
	}
	operations := table{headings: []string{"OPERATION", "COUNT", "REFUSED", "FAILED", "P50 US", "P99 US", "MAX US"}}
	for _, o := range h.Operations {
		operations.add(o.Name, decimal(o.Count), decimal(o.Refused), decimal(o.Failed),
			decimal(o.P50Us), decimal(o.P99Us), decimal(o.MaxUs))
	}
	tasks := table{headings: []string{"TASK", "STATE", "RESTARTS", "LAST ERROR"}, flexible: []int{3}}
	for _, task := range h.Tasks {
		tasks.add(task.Name, task.State, decimal(task.Restarts), task.Error)
	}
	for _, t := range []table{operations, tasks} {
		if len(t.rows) == 0 {
			continue
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
		if err := t.write(w, terminalWidth(w)); err != nil {
			return err
		}
	}
	return nil
}

// shownLeases says how leases are, as far as the node knows.
func shownLeases(h *bus.HealthReply) string {
	if h.Suspects == nil || h.Held == nil {
		return decimal(h.Leases)
	}
	return fmt.Sprintf("%d, %d of them suspect, %d held back", h.Leases, *h.Suspects, *h.Held)
}

// counted is n of something, by its singular.
func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func decimal[T ~int | ~int64 | ~uint64](n T) string { return fmt.Sprintf("%d", n) }
