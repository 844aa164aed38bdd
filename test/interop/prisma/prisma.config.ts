// Prisma's commands over its JavaScript driver, so that no engine has to be downloaded.
import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import { defineConfig } from 'prisma/config';

// The driver does not know PostgreSQL's type "name" (19), in which catalogs write names: text (25).
class Pool extends pg.Pool {
    async query(...call: any[]) {
        const result = await (super.query as any)(...call);
        for (const field of result?.fields ?? []) if (field.dataTypeID === 19) field.dataTypeID = 25;
        return result;
    }
}

export default defineConfig({
    experimental: { adapter: true },
    engine: 'js',
    schema: 'schema.prisma',
    migrations: { path: process.env.MIGRATIONS },
    adapter: async () => new PrismaPg(new Pool({ connectionString: process.env.DATABASE_URL, allowExitOnIdle: true })),
});
