export function SystemScreen() {
	return <p>SystemScreen</p>;
}
