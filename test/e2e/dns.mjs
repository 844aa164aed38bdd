/*
 * A name server on loopback for the end-to-end tests: answers by a zone { name: { TXT: [...], MX: [...] } },
 * "no such name" for others, and nothing at all while it is silent.
 */
import dgram from 'node:dgram';
import { once } from 'node:events';

const types = { MX: 15, TXT: 16 };

function encodeName(name) {
    return Buffer.concat([...name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label, 'latin1')])), Buffer.from([0])]);
}

/* RFC 1035, section 3.3: strings of at most 255 bytes; a preference and a name. */
function encodeData(type, value) {
    if (type === 'MX') {
        const [preference, host] = value.split(' ');
        return Buffer.concat([Buffer.from([0, Number(preference)]), encodeName(host)]);
    }
    const strings = value.match(/.{1,255}/gs);
    return Buffer.concat(strings.map((part) => Buffer.concat([Buffer.from([part.length]), Buffer.from(part, 'latin1')])));
}

function readQuestion(message) {
    const labels = [];
    let at = 12;
    for (; message[at] > 0; at += message[at] + 1) labels.push(message.toString('latin1', at + 1, at + 1 + message[at]));
    return { name: labels.join('.').toLowerCase(), type: message.readUInt16BE(at + 1), end: at + 5 };
}

function answer(message, zone) {
    const { name, type, end } = readQuestion(message);
    const kind = Object.keys(types).find((key) => types[key] === type);
    const values = zone[name]?.[kind] ?? [];
    const head = Buffer.alloc(12);
    message.copy(head, 0, 0, 2);
    head.writeUInt16BE(zone[name] ? 0x8180 : 0x8183, 2);
    head.writeUInt16BE(1, 4);
    head.writeUInt16BE(values.length, 6);
    const records = values.map((value) => {
        const data = encodeData(kind, value);
        const fixed = Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 60, 0, 0]);
        fixed.writeUInt16BE(data.length, 10);
        return Buffer.concat([fixed, data]);
    });
    return Buffer.concat([head, message.subarray(12, end), ...records]);
}

export class NameServer {
    static async start(zone = {}) {
        const server = new NameServer();
        Object.assign(server, { zone, silent: false, questions: 0, socket: dgram.createSocket('udp4') });
        server.socket.on('message', (message, from) => {
            server.questions++;
            if (!server.silent) server.socket.send(answer(message, server.zone), from.port, from.address);
        });
        server.socket.bind(0, '127.0.0.1');
        await once(server.socket, 'listening');
        server.address = `127.0.0.1:${server.socket.address().port}`;
        return server;
    }

    stop() {
        this.socket.close();
    }
}
