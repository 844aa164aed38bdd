/*
 * A product as tests deploy it: it listens on PORT and says which release it is. What it does wrong
 * the release's name says:
 *   crash-…     ends after a moment, before it listens
 *   late-…      listens after a second
 *   deaf-…      never listens
 *   ill-…       listens, and is not healthy
 *   fickle-…    healthy on the port of its own, not at the product's (FICKLE_PORT)
 *   torn-…      ends at once on any other port than CANARY_PORT
 *   flapping-…  is healthy one time, ill the next, for two seconds
 *   stubborn-…  does not end when it is asked to
 *   loud-…      prints more than is kept
 */
const http = require('node:http');

const release = process.env.RELEASE ?? 'none';
const kind = release.split('-')[0];

const began = Date.now();
let asked = 0;
const flaps = () => kind === 'flapping' && Date.now() - began < 2000 && asked++ % 2 === 1;

function answer(request, response) {
    const url = new URL(request.url, 'http://product');
    const well = kind !== 'ill' && !(url.pathname === '/health' && flaps()) && !(kind === 'fickle' && request.headers.host.endsWith(`:${process.env.FICKLE_PORT}`));
    response.setHeader('X-Release', release);
    response.setHeader('X-Pid', process.pid);
    response.setHeader('X-Directory', __dirname);
    if (url.pathname === '/health') {
        response.statusCode = well ? 200 : 500;
        response.end(JSON.stringify({ release, well }));
    } else if (url.pathname === '/crash') {
        console.error('told to crash');
        process.exit(3);
    } else if (url.pathname === '/slow') {
        setTimeout(() => response.end(release), Number(url.searchParams.get('ms')));
    } else if (url.pathname === '/echo') {
        request.pipe(response);
    } else if (url.pathname === '/large') {
        response.end(Buffer.alloc(Number(url.searchParams.get('bytes')), release.at(-1)));
    } else if (url.pathname === '/environment') {
        response.end(JSON.stringify(process.env));
    } else {
        response.end(release);
    }
}

const server = http.createServer(answer);
server.keepAliveTimeout = 60_000;
const listen = () => server.listen(Number(process.env.PORT), '127.0.0.1', () => {
    console.log(`${release} listens on ${process.env.PORT}`);
    process.send?.('ready');
});

for (const signal of ['SIGTERM', 'SIGINT'])
    process.on(signal, () => {
        if (kind !== 'stubborn') server.close(() => process.exit(0));
    });

if (kind === 'crash' || (kind === 'torn' && process.env.PORT !== process.env.CANARY_PORT)) {
    setTimeout(() => {
        console.error('cannot find module "left-pad"');
        process.exit(7);
    }, 100);
} else if (kind === 'late') {
    setTimeout(listen, 1000);
} else if (kind === 'deaf') {
    setInterval(() => {}, 1000);
} else {
    if (kind === 'loud') for (let i = 0; i < 24; i++) process.stdout.write('x'.repeat(1 << 20) + '\n');
    listen();
}
