import type { IDataObject } from 'n8n-workflow';

/** One wrong field: its path in the request, such as `messages[3].text`. */
export interface FieldProblem {
	field: string;
	message: string;
}

/** What an answer that is no success says, in the parts that n8n shows. */
export interface Problem {
	message: string;
	description: string;
	httpCode: string;
	/** From the gateway's catalogue, such as `validation_failed`; null if the answer is not the gateway's. */
	code: string | null;
	fields: FieldProblem[];
}

const SHOWN_CHARS = 200;

/** Says whether an answer is a success of the gateway's API, and not of something else at its address. */
export function isSuccess(status: number, body: unknown): boolean {
	return (
		status >= 200 && status < 300 && (body as IDataObject | null | undefined)?.success === true
	);
}

/** Returns what to tell the user of an answer that is no success. */
export function problemOf(status: number, body: unknown): Problem {
	const shown = (typeof body === 'object' && body !== null ? body : {}) as IDataObject;
	if (shown.success !== false || typeof shown.title !== 'string') return foreign(status, body);
	const fields = Array.isArray(shown.errors) ? (shown.errors as unknown as FieldProblem[]) : [];
	return {
		message: shown.title,
		description: [
			String(shown.detail ?? ''),
			...(fields.length > 1 ? fields.map(({ field, message }) => `${field}: ${message}`) : []),
			...(shown.command_id ? [`Command: ${shown.command_id as string}`] : []),
			...(shown.retry_after ? [`Try again in ${shown.retry_after as number} s.`] : []),
		].join('\n'),
		httpCode: String(status),
		code: String(shown.code ?? '') || null,
		fields,
	};
}

function foreign(status: number, body: unknown): Problem {
	const text = typeof body === 'string' ? body.trim().slice(0, SHOWN_CHARS) : '';
	return {
		message: `HTTP ${status}, and not from the gateway`,
		description:
			`Check the Base URL of the credentials, and what stands between n8n and the gateway. ${text}`.trim(),
		httpCode: String(status),
		code: null,
		fields: [],
	};
}
