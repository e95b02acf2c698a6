// A screenshot with as many colours as it needs, in a third of the bytes: `node shrink.js FROM TO`.
import sharp from 'sharp';

const [from, to] = process.argv.slice(2);
await sharp(from).png({ palette: true, colours: 256, quality: 100, dither: 0, compressionLevel: 9, effort: 10 }).toFile(to);
