// The same two apps for PM2's own form of the file: `pm2 start ecosystem.config.cjs`.
// codex-supervisor runs the JSON form too, and needs neither: it knows the two by itself.
module.exports = require('./ecosystem.json');
