// Grafana's libraries in their CommonJS form: bundled from the other one, default imports of what they
// use in turn come out as whole modules, and React refuses to draw those.
module.exports = { ...require('@grafana/data'), ...require('@grafana/ui') };
