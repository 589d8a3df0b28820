module github.com/roostbus/roost

go 1.26
