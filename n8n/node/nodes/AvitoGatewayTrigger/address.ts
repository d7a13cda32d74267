import { createHash } from 'node:crypto';

import type { IDataObject } from 'n8n-workflow';

/**
 * Compares what `/info` of the gateway says of its accounts with the trigger's own address, and returns what to set;
 * null if messages will come.
 *
 * Only paths are compared: the gateway may reach n8n under another host than browsers do. It tells a hash of its own.
 */
export function advice(
	ownUrl: string,
	accounts: IDataObject[],
	{ account, signed }: { account: string; signed: boolean },
): string | null {
	const asked = accounts.filter(({ user_id }) => !account || user_id === account);
	if (asked.length === 0) return `The gateway has no account ${account || 'yet'}.`;
	const path = new URL(ownUrl).pathname.replace(/\/+$/, '');
	const own = createHash('sha256').update(path).digest('hex');
	const here = asked.filter(({ n8n_path_sha256 }) => n8n_path_sha256 === own);
	if (here.length === 0) {
		const origins = [...new Set(asked.map(({ n8n_origin }) => n8n_origin).filter(Boolean))];
		const now = origins.length > 0 ? `to another path of ${origins.join(', ')}` : 'nowhere';
		return `The gateway sends messages ${now}. Set N8N_WEBHOOK_URL=${ownUrl} in its settings and restart it.`;
	}
	if (signed && here.every(({ n8n_signed }) => n8n_signed === false)) {
		return 'The credentials have a signing secret, but the gateway does not sign. Set N8N_WEBHOOK_SECRET to that secret in its settings and restart it.';
	}
	return null;
}
