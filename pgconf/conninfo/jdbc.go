package conninfo

const jdbcScheme = "jdbc:postgresql:"
