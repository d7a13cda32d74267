import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';

import { advice } from '../dist/nodes/AvitoGatewayTrigger/address.js';

const OWN = 'https://n8n.example.com/webhook/avito';
const sha256 = (path: string) => createHash('sha256').update(path).digest('hex');
const account = (user_id: string, path: string | null, n8n_signed = true) => ({
	user_id,
	n8n_origin: path === null ? null : 'http://n8n:5678',
	n8n_path_sha256: path === null ? null : sha256(path),
	n8n_signed,
});
const SET = `Set N8N_WEBHOOK_URL=${OWN} in its settings and restart it.`;

for (const [what, accounts, asked, signed, found] of [
	['the same path on another host', [account('1', '/webhook/avito')], '', true, null],
	[
		'another path',
		[account('1', '/webhook/other')],
		'',
		true,
		`The gateway sends messages to another path of http://n8n:5678. ${SET}`,
	],
	['no address', [account('1', null)], '', true, `The gateway sends messages nowhere. ${SET}`],
	['one of two accounts', [account('1', '/x'), account('2', '/webhook/avito')], '', true, null],
	[
		'the other of two accounts',
		[account('1', '/x'), account('2', '/webhook/avito')],
		'1',
		true,
		`The gateway sends messages to another path of http://n8n:5678. ${SET}`,
	],
	['an unknown account', [account('1', '/x')], '3', true, 'The gateway has no account 3.'],
	['no signature, and none wanted', [account('1', '/webhook/avito', false)], '', false, null],
	[
		'no signature, but a secret',
		[account('1', '/webhook/avito', false)],
		'',
		true,
		'The credentials have a signing secret, but the gateway does not sign. Set N8N_WEBHOOK_SECRET to that secret in its settings and restart it.',
	],
] as const) {
	test(what, () => {
		assert.equal(advice(OWN, [...accounts], { account: asked, signed }), found);
	});
}
