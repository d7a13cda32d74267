import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
	signatureFault,
	TOLERANCE_S,
	type Signed,
} from '../dist/nodes/AvitoGatewayTrigger/signature.js';

/** The example of Standard Webhooks, signed by their library for Python. */
const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const SIGNED: Signed = {
	id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
	timestamp: '1614265330',
	signature: 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
	body: Buffer.from('{"test": 2432232314}'),
};
const AT_S = Number(SIGNED.timestamp);

const cases: Array<[string, Partial<Signed>, string, number, RegExp | null]> = [
	['what the library signs passes', {}, SECRET, AT_S, null],
	['a secret may come without its prefix', {}, SECRET.slice(6), AT_S, null],
	[
		'one of several signatures is enough',
		{ signature: `v1,AAAA v1a,x ${SIGNED.signature}` },
		SECRET,
		AT_S,
		null,
	],
	['a clock may be wrong by the tolerance', {}, SECRET, AT_S + TOLERANCE_S, null],
	['not by more, after', {}, SECRET, AT_S + TOLERANCE_S + 1, /clock/],
	['nor before', {}, SECRET, AT_S - TOLERANCE_S - 1, /clock/],
	['a time that is none', { timestamp: '1614265330x' }, SECRET, AT_S, /clock/],
	['another body', { body: Buffer.from('{"test": 2432232315}') }, SECRET, AT_S, /not one of/],
	['another id', { id: 'msg_other' }, SECRET, AT_S, /not one of/],
	['another time', { timestamp: String(AT_S + 1) }, SECRET, AT_S, /not one of/],
	['another secret', {}, 'whsec_AAAA', AT_S, /not one of/],
	[
		'another version of signatures',
		{ signature: SIGNED.signature.replace('v1,', 'v2,') },
		SECRET,
		AT_S,
		/not one of/,
	],
	['a cut signature', { signature: SIGNED.signature.slice(0, 20) }, SECRET, AT_S, /not one of/],
	['no signature', { signature: '' }, SECRET, AT_S, /not signed/],
	['no id', { id: '' }, SECRET, AT_S, /not signed/],
];

for (const [fact, change, secret, nowS, fault] of cases) {
	test(fact, () => {
		const found = signatureFault({ ...SIGNED, ...change }, secret, nowS);

		if (fault === null) assert.equal(found, null);
		else assert.match(found ?? '', fault);
	});
}
