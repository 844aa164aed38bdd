/* Writes the tables of the documents anew: see script/docs. */
import { Installation } from '../e2e/harness.mjs';
import { writeTables } from './tables.mjs';

const installation = await Installation.create();
try {
    const server = await installation.start();
    const { body } = await server.api('GET', '/openapi.json');
    writeTables(body);
} finally {
    await installation.remove();
}
