package fips

// ModuleOf is for tests.
var ModuleOf = module
