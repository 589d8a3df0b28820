// Package chart draws what a run of package bench came to, as SVG.
//
// Above there is how much of each budget is taken, below how costs grow.
package chart
